-- Which two seconds show the most faces, if the two seconds may begin at every half second?
SELECT window_start, window_end, sum(cardinality(detect_faces(frame))) AS faces
FROM HOP(clip, ts, INTERVAL '500 milliseconds', INTERVAL '2 seconds')
GROUP BY window_start, window_end
ORDER BY faces DESC, window_start
LIMIT 3;
