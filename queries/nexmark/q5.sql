-- Which auctions had the most bids in the last ten seconds, every two seconds?
SELECT n.auction, n.bids, n.window_start, n.window_end
FROM (
  SELECT auction, count(*) AS bids, window_start, window_end
  FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds')
  GROUP BY auction, window_start, window_end
) AS n
JOIN (
  SELECT max(bids) AS most, window_start, window_end
  FROM (
    SELECT auction, count(*) AS bids, window_start, window_end
    FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds')
    GROUP BY auction, window_start, window_end
  ) AS counted
  GROUP BY window_start, window_end
) AS m
ON n.window_start = m.window_start AND n.window_end = m.window_end AND n.bids >= m.most;
