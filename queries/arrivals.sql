-- When does the number of people in the picture change, and from what to what?
SELECT ts, before, faces
FROM (SELECT ts, frame_no, faces, lag(faces) OVER (ORDER BY frame_no) AS before
      FROM (SELECT ts, frame_no, cardinality(detect_faces(frame)) AS faces FROM clip))
WHERE faces <> before
ORDER BY frame_no;
