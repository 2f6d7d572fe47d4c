-- When are two or more faces in the picture for the first time, and which frame is it?
SELECT ts, frame, faces
FROM (SELECT ts, frame_no, frame, cardinality(detect_faces(frame)) AS faces FROM clip)
WHERE faces >= 2
ORDER BY frame_no
LIMIT 1;
