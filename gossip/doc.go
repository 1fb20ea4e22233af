// Package gossip owns what a peer knows of the others without asking: what each
// is (its signed advert), roughly how busy it is, and whether it is alive.
//
// It is a state machine like sched: Step takes the time and an event and returns
// effects, Next says when a Tick is due; it has no clock, no goroutines and no
// I/O, and its random choices come from a seed. Three things go on in it:
//
//   - View (view.go): adverts merged by (incarnation, sequence number) and loads
//     by (incarnation, beat). The merge is commutative, associative and
//     idempotent: whatever the order, however often and whatever is lost, views
//     that have heard the same are the same.
//   - Rounds (core.go): a bounded digest of loads to a few random neighbours, who
//     answer with theirs, so that the cost for each peer does not grow with the
//     cluster; and now and then, and whenever a link comes up, a comparison of
//     hashes that finds adverts which one side lacks.
//   - Detector (detector.go): pings, suspicion, the word of others, death.
//
// An advert is believed because it is signed by whom it is about. A load is a
// hint that anybody may have passed on; nothing is decided by it.
package gossip
