-- When does the car leave the middle of its lane without its indicator, how far, and how fast?
-- One row an episode.
SELECT window_start AS since, max(ts) AS until, round(max(abs(off)), 1) AS furthest, round(max(speed) * 3.6) AS km_h
FROM SESSION((
    SELECT lane.ts, lane.off, v.speed
    FROM (SELECT ts, detect_lanes(frame)['offset_share'] AS off FROM road) AS lane
    ASOF JOIN vehicle AS v MATCH_CONDITION (lane.ts >= v.ts)
    WHERE abs(lane.off) > 0.15 AND v.indicator = 'off'), ts, INTERVAL '1 second')
GROUP BY window_start, window_end
ORDER BY since;
