package peertest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
)

// When the one peer that a newcomer is told of has only spoilt bytes of a program,
// the newcomer finds another that has it through the hash table. Nothing else
// names that one: the first peer was started again since it sent it the program.
func TestTheHashTableKnowsWhoHasAProgram(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, 2, peertest.Options{Args: []string{"--http", "127.0.0.1:0"}})
	runs := func(t *testing.T, ctx context.Context, i int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if got, err := raygo.Get(ctx, whereAmI.Options(on(c.IDs()[i])).Remote(ctx)); err != nil || got != c.IDs()[i] {
			t.Fatalf("on peer %d: %s, %v", i, got, err)
		}
	}
	t.Run("before", func(t *testing.T) {
		runs(t, c.Peer(0).DriverFor(t), 1)
		waitFor(t, "peer 1 has announced the program", func() bool {
			n, _ := counted(t, c.Peer(1), `raygo_dht_announced_total{outcome="placed"}`)
			return n > 0
		})
	})
	c.Peer(0).Drain()
	spoil(t, filepath.Join(c.Dir(), "0", "programs"))
	c.Peer(0).Start()
	c.Meet()
	newcomer := c.Add()
	c.Meet()
	t.Run("after", func(t *testing.T) { runs(t, c.Peer(0).DriverFor(t), 2) })
	if n, _ := counted(t, newcomer, `raygo_dht_lookups_total{kind="providers",outcome="found"}`); n == 0 {
		t.Error("the program came another way than through the hash table")
	}
}

// spoil puts other bytes in the place of the one program in a directory.
func spoil(t *testing.T, dir string) {
	t.Helper()
	kept, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("programs in %s: %v, %v", dir, kept, err)
	}
	st, err := os.Stat(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(kept[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept[0], make([]byte, st.Size()), 0o500); err != nil {
		t.Fatal(err)
	}
}
