-- Which bids were the highest of their ten seconds?
SELECT b.auction, b.price, b.bidder, b.date_time, b.extra
FROM bid AS b
JOIN (
  SELECT max(price) AS highest, window_end
  FROM TUMBLE(bid, date_time, INTERVAL '10 seconds')
  GROUP BY window_start, window_end
) AS m
ON b.price = m.highest AND b.date_time BETWEEN m.window_end - INTERVAL '10 seconds' AND m.window_end;
