-- Who nearly ran into whom, how near did they come, and how fast were they to each other?
-- Near is less than half of a person's height on the ground, fast is a height a second.
SELECT window_start AS since, max(ts) AS until, pair, round(min(apart), 2) AS heights_apart, round(max(speed), 1) AS heights_a_second
FROM SESSION((
    SELECT ts, pair, apart, speed
    FROM (SELECT a.ts, a.track_id || ' and ' || b.track_id AS pair, sqrt(power(a.x - b.x, 2) + power(a.y - b.y, 2)) / a.h AS apart,
                 sqrt(power(a.vx - b.vx, 2) + power(a.vy - b.vy, 2)) / a.h AS speed
          FROM tracks AS a JOIN tracks AS b ON b.ts = a.ts AND b.track_id > a.track_id)
    WHERE apart < 0.5 AND speed > 1) PARTITION BY pair, ts, INTERVAL '1 second')
GROUP BY window_start, window_end, pair
ORDER BY since, pair;
