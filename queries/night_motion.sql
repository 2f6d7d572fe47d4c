-- When does something move, one alert an episode, if half a second of stillness ends it?
-- No detector runs, so it is as good at night.
SELECT window_start AS since, max(ts) AS until, count(*) AS frames, round(max(moved), 2) AS most
FROM SESSION((SELECT ts, motion(frame) AS moved FROM clip WHERE motion(frame) > 0.02), ts, INTERVAL '500 milliseconds')
GROUP BY window_start, window_end
ORDER BY since;
