-- How many wait before the till, second by second?
-- Who waits stands there: a tenth of a height a second is standing.
SELECT window_start, count(DISTINCT track_id) AS waiting
FROM TUMBLE(tracks, ts, INTERVAL '1 second')
WHERE point_in_polygon(x, y, '((50 380, 400 380, 400 420, 50 420))') AND sqrt(power(vx, 2) + power(vy, 2)) < 0.1 * h
GROUP BY window_start
ORDER BY window_start;
