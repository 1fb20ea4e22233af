// Package bench owns the measurements of raygo's speed: each workload beside its
// floor, which is the least that the same machine can do the same work with in
// the same minute. A figure alone says little on a machine that others use, too;
// the ratio of two that were taken in turns says where time goes.
//
// The floors of calls are an echo through as many processes and sockets as a
// call of raygo goes through: a driver and a worker that encode and decode a
// CBOR body, and between them a peer that reads only the header. The others are
// memcpy, a mapped file, a fresh file in memory, and fork and exec of this
// binary.
//
// The peer that is measured is a process of its own, this binary started again
// with RoleVariable set; so are the processes of the echo.
package bench
