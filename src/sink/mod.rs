//! Results pushed out: one file a sink. There is none yet; CREATE SINK is refused by the parser.
