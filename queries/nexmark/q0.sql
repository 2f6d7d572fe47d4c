-- Every bid, as it came.
SELECT auction, bidder, price, date_time, extra FROM bid;
