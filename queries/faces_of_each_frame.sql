-- How many faces does each frame have, and how tall is the tallest of them?
SELECT frame_no, (SELECT count(*) FROM UNNEST(detect_faces(frame)) AS face) AS faces,
  (SELECT round(face.box['h']) FROM UNNEST(detect_faces(frame)) AS face WHERE face.score > 0.8 ORDER BY face.score DESC, face.box['h'] LIMIT 1) AS height
FROM clip
WHERE EXISTS (SELECT 1 FROM UNNEST(detect_faces(frame)) AS face WHERE face.box['x'] < 400)
ORDER BY frame_no LIMIT 6;
