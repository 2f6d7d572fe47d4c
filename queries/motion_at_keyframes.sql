-- How much has changed at each keyframe since the frame before it, though the query lets only keyframes through?
SELECT frame_no, round(motion(frame), 3) AS changed, cardinality(detect_motion(frame)) AS regions
FROM clip
WHERE keyframe
ORDER BY frame_no;
