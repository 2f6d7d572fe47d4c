-- Which bid wins each auction?
-- EMIT CHANGES
SELECT id, item_name, initial_bid, reserve, seller, category, auction, bidder, price, bid_at
FROM (
  SELECT a.id, a.item_name, a.initial_bid, a.reserve, a.seller, a.category, b.auction, b.bidder, b.price, b.date_time AS bid_at,
         row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time, b.bidder, b.extra) AS place
  FROM auction AS a JOIN bid AS b ON a.id = b.auction
  WHERE b.date_time BETWEEN a.date_time AND a.expires
) AS ranked
WHERE place <= 1;
