-- When is somebody there, and for how long, if a second without a face ends a visit?
SELECT window_start AS since, max(ts) AS until, count(*) AS frames, max(faces) AS at_once
FROM SESSION((SELECT ts, cardinality(detect_faces(frame)) AS faces FROM clip WHERE cardinality(detect_faces(frame)) > 0), ts, INTERVAL '1 second')
GROUP BY window_start, window_end
ORDER BY since;
