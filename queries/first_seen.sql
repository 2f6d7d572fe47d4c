-- When is each number of faces in the picture for the first time, and which frame shows it?
SELECT faces, ts, frame
FROM (SELECT faces, ts, frame, ROW_NUMBER() OVER (PARTITION BY faces ORDER BY ts) AS rn
      FROM (SELECT ts, frame, cardinality(detect_faces(frame)) AS faces FROM clip))
WHERE rn = 1
ORDER BY faces;
