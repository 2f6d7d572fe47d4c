-- How many frames show how many faces?
SELECT faces, frames
FROM (SELECT cardinality(detect_faces(frame)) AS faces, count(*) AS frames FROM clip GROUP BY 1)
ORDER BY faces;
