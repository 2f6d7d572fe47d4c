-- In which share of the time is somebody in the picture?
SELECT round(100.0 * count(*) FILTER (WHERE cardinality(detect_faces(frame)) > 0) / count(*), 1) AS percent
FROM clip;
