-- How many people are there, smoothed over the last second so that one bad frame does not count?
SELECT ts, faces, round(smoothed, 2) AS smoothed
FROM (SELECT ts, frame_no, faces, avg(faces) OVER (ORDER BY ts RANGE BETWEEN INTERVAL '1 second' PRECEDING AND CURRENT ROW) AS smoothed
      FROM (SELECT ts, frame_no, cardinality(detect_faces(frame)) AS faces FROM clip))
WHERE frame_no % 25 = 12
ORDER BY ts;
