package hosts_test

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/raygo/raygo/dht"
	"github.com/raygo/raygo/simnet/hosts"
)

var many = flag.Int("hosts", 40, "peers of TestTableOfManyPeers")

// The hash table finds what there is however many peers there are. With -hosts 1000
// it takes minutes and gigabytes.
func TestTableOfManyPeers(t *testing.T) {
	const objects = 200
	began := time.Now()
	hosts.Run(t, hosts.Config{Link: hosts.LAN, Seed: 3}, func(w *hosts.World) {
		s := newTables(w, *many)
		w.Eventually("everybody has met some", 5*time.Minute, func() bool {
			return !slices.ContainsFunc(s.d, func(d *dht.DHT) bool { return d.Stats().Peers < 8 })
		})
		rng := rand.New(rand.NewPCG(1, 1))
		quiet := func() int64 { // what goes on without us, in ten seconds
			before := w.SentInAll()
			time.Sleep(10 * time.Second)
			return w.SentInAll() - before
		}
		idle := quiet()
		holders, sent, start := make([]int, objects), w.SentInAll(), time.Now()
		for i := range objects {
			at := rng.IntN(*many)
			holders[i] = at
			if err := s.d[at].Provide(name(i)); err != nil {
				w.T.Fatal(err)
			}
		}
		w.Eventually("all is announced", 5*time.Minute, func() bool {
			return !slices.ContainsFunc(s.d, func(d *dht.DHT) bool { return d.Stats().Queued > 0 })
		})
		took := time.Since(start)
		provide := float64(w.SentInAll()-sent) - float64(idle)*took.Seconds()/10
		found, times := 0, make([]time.Duration, 0, objects)
		for i := range objects {
			one := time.Now()
			asker := (holders[i] + 1 + rng.IntN(*many-1)) % *many
			got, err := s.d[asker].Providers(w.T.Context(), name(i), 3)
			times = append(times, time.Since(one))
			if err == nil && slices.Contains(got, s.p[holders[i]].ID) {
				found++
			}
		}
		slices.Sort(times)
		if found < objects {
			w.T.Errorf("%d of %d objects were found", found, objects)
		}
		w.T.Logf("%d of %d found; lookup p50 %s, p99 %s; %.1f kB a provide, %.2f kB/s a peer in the minutes after it joined",
			found, objects, times[objects/2], times[objects*99/100], provide/objects/1e3, float64(idle)/10/float64(*many)/1e3)
	})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d peers, %s of the machine's time, %d MiB", *many, time.Since(began).Round(time.Second), m.Sys>>20)
}
