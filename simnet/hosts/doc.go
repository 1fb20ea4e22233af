// Package hosts owns real libp2p hosts in virtual time, for tests: everything
// from the swarm upwards is what peers run, and only the wire below is a model
// with latency, bandwidth, loss, partitions and crashes. A minute in which
// nothing happens costs nothing, and a test is over as soon as its processors
// are.
//
//	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
//		a, b := w.Add("a"), w.Add("b")
//		…
//		w.Partition([]string{"a"}, []string{"b"})
//	})
//
// Run is testing/synctest: inside it time stands still while anything runs, no
// goroutine may outlive the test, and real sockets, files to wait for and
// goroutines made outside do not belong. The clock starts in the year 2000, so
// certificates are made inside.
//
// The wire is a connection of bytes as TCP gives: in order, complete, with a
// window, broken by a reset. What is lost on the way arrives later, as if it had
// been sent again. While two peers are parted their bytes wait; the connection
// ends when one of them gives up, as it does on real machines (yamux pings every
// 30 s). Runs are not repeatable to the bit: libp2p uses the scheduler, maps and
// crypto/rand. Identities are.
package hosts
