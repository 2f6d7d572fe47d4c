-- How long is somebody alone in the picture before company comes?
SELECT alone_since, company_at, frames, people
FROM (SELECT ts, cardinality(detect_faces(frame)) AS faces FROM clip) MATCH_RECOGNIZE (
    ORDER BY ts
    MEASURES first(alone.ts) AS alone_since, company.ts AS company_at, count(alone.*) AS frames, company.faces AS people
    PATTERN (alone+ company)
    DEFINE alone AS alone.faces = 1, company AS company.faces > 1)
ORDER BY alone_since;
