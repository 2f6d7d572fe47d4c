-- What Grafana sends, its macros written out; first $__timeFilter(ts).
SELECT ts, score FROM detections WHERE ts BETWEEN '2026-01-02T03:00:00Z' AND '2026-01-02T09:30:00Z' ORDER BY ts;

-- $__timeFilter with the fraction of a second that Grafana writes
SELECT count(*) FROM detections WHERE ts BETWEEN '2026-01-02T03:21:03.75Z' AND '2026-01-03T04:05:06.789Z';

-- $__timeFrom() and $__timeTo()
SELECT camera, count(*) AS n FROM detections WHERE ts >= '2026-01-02T00:00:00Z' AND ts < '2026-01-03T00:00:00Z' GROUP BY camera ORDER BY camera;

-- $__time(ts)
SELECT ts AS "time", score FROM detections WHERE camera = 'gate' ORDER BY 1;

-- $__timeEpoch(ts)
SELECT extract(epoch from ts) AS "time", score FROM detections ORDER BY 1 LIMIT 5;

-- $__timeGroup(ts, '5m')
SELECT floor(extract(epoch from ts)/300)*300 AS bucket, count(*) AS n FROM detections GROUP BY 1 ORDER BY 1;

-- $__timeGroupAlias(ts, '1h') and a metric
SELECT floor(extract(epoch from ts)/3600)*3600 AS "time", camera AS metric, avg(score) AS "value" FROM detections WHERE ts BETWEEN '2026-01-02T00:00:00Z' AND '2026-01-04T00:00:00Z' GROUP BY 1, 2 ORDER BY 1, 2;

-- $__timeGroup over a day
SELECT floor(extract(epoch from ts)/86400)*86400 AS "time", max(score) AS best, min(x) AS "left" FROM detections GROUP BY "time" ORDER BY "time";

-- $__unixEpochFilter(seconds) over what a view computes
SELECT count(*) FROM (SELECT extract(epoch from ts) AS seconds FROM detections) AS d WHERE seconds >= 1767322800 AND seconds <= 1767348000;

-- $__unixEpochGroup(seconds, '10m')
SELECT floor((seconds)/600)*600 AS bucket, count(*) AS n FROM (SELECT CAST(extract(epoch from ts) AS bigint) AS seconds FROM detections) AS d WHERE seconds >= 1767322800 AND seconds <= 1767348000 GROUP BY 1 ORDER BY 1;

-- $__unixEpochNanoFilter over whole numbers
SELECT count(*) FROM (SELECT frame * 1000000000 AS nanoseconds FROM detections) AS d WHERE nanoseconds >= 3000000000 AND nanoseconds <= 7000000000;

-- the view over the clip, as a panel reads it
SELECT window_start AS "time", n, half, keyed, place FROM visits WHERE window_start BETWEEN '1970-01-01T00:00:02Z' AND '1970-01-01T00:00:06Z' ORDER BY 1;

-- date_trunc and date_bin, as the builder of queries writes them
SELECT date_trunc('hour', ts) AS "time", count(*) FROM detections GROUP BY 1 ORDER BY 1 LIMIT 4;

-- date_bin
SELECT date_bin('15 minutes', ts, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS "time", sum(x) FROM detections GROUP BY 1 ORDER BY 1;

-- a variable of a dashboard
SELECT DISTINCT camera FROM detections ORDER BY camera;

-- the health check
SELECT 1;
