-- How many faces are seen in each second?
SELECT window_start, window_end, count(*) AS frames, sum(cardinality(detect_faces(frame))) AS faces
FROM TUMBLE(clip, ts, INTERVAL '1 second')
GROUP BY window_start, window_end
ORDER BY window_start;
