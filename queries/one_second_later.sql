-- Who stays? For each second: how many faces does it show at most, and how many the second after it?
SELECT a.window_start, a.faces, b.faces AS one_second_later
FROM (SELECT window_start, max(cardinality(detect_faces(frame))) AS faces
      FROM TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start) AS a
JOIN (SELECT window_start, max(cardinality(detect_faces(frame))) AS faces
      FROM TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start) AS b
ON b.window_start = a.window_start + INTERVAL '1 second'
ORDER BY a.window_start;
