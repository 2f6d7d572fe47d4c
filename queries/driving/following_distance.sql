-- Who is followed by less than two seconds, and in how many would it be reached?
-- A car is 1.5 m high, the camera's focal length 800 px.
SELECT near.window_start, near.track_id, round(1.5 * 800 / near.h, 1) AS metres, round(1.5 * 800 / near.h / v.speed, 2) AS seconds_behind,
       round(time_to_collision(near.first, near.last, near.seconds), 1) AS collision_in
FROM (SELECT window_start, window_end, track_id, avg(h) AS h, min_by([x, y, w, h], ts) AS first, max_by([x, y, w, h], ts) AS last,
             extract(epoch FROM max(ts) - min(ts)) AS seconds
      FROM TUMBLE(ahead, ts, INTERVAL '1 second')
      GROUP BY window_start, window_end, track_id) AS near
JOIN (SELECT window_start, window_end, avg(speed) AS speed
      FROM TUMBLE(vehicle, ts, INTERVAL '1 second')
      GROUP BY window_start, window_end) AS v
ON near.window_start = v.window_start AND near.window_end = v.window_end
WHERE 1.5 * 800 / near.h < 2 * v.speed
ORDER BY near.window_start, near.track_id;
