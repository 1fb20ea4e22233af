package simnet_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo/simnet/world"
)

var (
	count = flag.Int("worlds", 200, "seeds that TestWorlds runs")
	peers = flag.Int("peers", 0, "peers of each world, 0: drawn")
	words = flag.String("words", "", "steps that name one of these, separated by commas, are the transcript of a failure")
	first = flag.Uint64("first", 1, "the first of them")
)

// limit is how long a world's work may take after its last fault.
const limit = 90 * time.Second

// once runs the world of a seed and fails with a transcript.
func once(t *testing.T, seed uint64, plain bool) {
	o := world.Options{Peers: *peers, Plain: plain}
	if *words != "" {
		o.Trace = 1 << 18
	}
	w := world.Random(seed, o)
	if err := w.Finish(limit); err != nil {
		if *words != "" {
			t.Logf("transcript:\n%s", w.Transcript(strings.Split(*words, ",")...))
		}
		keep(seed)
		t.Errorf("%v\nrun it with: go test ./simnet -run 'Worlds/seed=%d$' -first %d -worlds 1 -words ' '", err, seed, seed)
	}
}

// kept are the seeds that failed once, in testdata/seeds: they run first, those
// that are said to be plain without what came to the worlds later.
func kept(t *testing.T) (seeds []uint64, plain int) {
	text, err := os.ReadFile(keptFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		word, kind, _ := strings.Cut(line, " ")
		if word == "" {
			continue
		}
		seed, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", keptFile, err)
		}
		if kind != "plain" {
			seeds = append(seeds, seed)
			continue
		}
		seeds = slices.Insert(seeds, plain, seed)
		plain++
	}
	return seeds, plain
}

var keeping sync.Mutex

// keep adds a seed that failed to those that run first.
func keep(seed uint64) {
	keeping.Lock()
	defer keeping.Unlock()
	text, _ := os.ReadFile(keptFile)
	line := fmt.Sprintln(seed)
	if *peers == 0 && !strings.HasPrefix(string(text), line) && !strings.Contains(string(text), "\n"+line) {
		_ = os.WriteFile(keptFile, append(text, line...), 0o644) // a tree that cannot be written to has the log
	}
}

var keptFile = filepath.Join("testdata", "seeds")

// All laws of the design in worlds of 3 to 50 peers, most of them with faults.
// behaviours 234, 235, 236, 108
func TestWorlds(t *testing.T) {
	seeds, plain := kept(t)
	n := *count
	if testing.Short() {
		n = min(n, 30)
	}
	for i := range n {
		seeds = append(seeds, *first+uint64(i))
	}
	for i, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			once(t, seed, i < plain)
		})
	}
}
