-- How many faces have been seen so far in every six seconds, told anew every two?
SELECT window_start, window_end, sum(cardinality(detect_faces(frame))) AS faces
FROM CUMULATE(clip, ts, INTERVAL '2 seconds', INTERVAL '6 seconds')
GROUP BY window_start, window_end
ORDER BY window_end;
