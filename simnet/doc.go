// Package simnet owns simulated clusters, for the tests of programs: Run makes
// one, on which a program's own registered functions run in virtual time, with
// peers that are killed and come back and a network that is slow, lossy or parted.
//
//	func TestSurvives(t *testing.T) {
//		simnet.Run(t, simnet.Config{Peers: 5}, func(c *simnet.Cluster) {
//			ctx := c.Driver(0)
//			ref := work.Remote(ctx, 42)
//			c.Advance(time.Second)
//			c.Kill(3)
//			…
//		})
//	}
//
// The peers are real ones: scheduler, object store, links with their handshake,
// hash table and gossip are what raygo-peer runs. Simulated are the wires below
// (simnet/hosts), the clock, and worker processes, which are goroutines.
//
// The package's own tests also run worlds of many cores (simnet/world) from
// seeds, by name for each behaviour, and at the size of a thousand peers for
// docs/placement.md.
package simnet
