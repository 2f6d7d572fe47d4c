-- Which frame shows the faces of each three seconds best: the most faces, and of these the sharpest?
SELECT window_start, best_frame(frame, 1000000 * cardinality(detect_faces(frame)) + sharpness(frame)) AS best
FROM HOP(clip, ts, INTERVAL '1 second', INTERVAL '3 seconds')
GROUP BY window_start, window_end
ORDER BY window_start;
