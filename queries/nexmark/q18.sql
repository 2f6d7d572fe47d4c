-- What was each bidder's last bid for an auction?
-- EMIT CHANGES
SELECT auction, bidder, price, channel, url, date_time, extra
FROM (
  SELECT *, row_number() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC, price DESC, extra) AS place FROM bid
) AS ranked
WHERE place <= 1;
