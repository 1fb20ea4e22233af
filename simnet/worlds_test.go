package simnet_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
func once(t *testing.T, seed uint64, made world.Age) {
	o := world.Options{Peers: *peers, Made: made}
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

// old is a seed that failed once, and what worlds had by then.
type old struct {
	seed uint64
	made world.Age
}

var ages = map[string]world.Age{"": world.Newest, "plain": world.Plain, "second": world.Second}

// kept are the seeds that failed once, in testdata/seeds: they run first, those
// that are said to be plain or second without what came to the worlds later.
func kept(t *testing.T) (seeds []old) {
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
		made, ok := ages[kind]
		if !ok {
			t.Fatalf("%s: what is %q?", keptFile, kind)
		}
		seeds = append(seeds, old{seed, made})
	}
	return seeds
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
	seeds := kept(t)
	n := *count
	if testing.Short() {
		n = min(n, 30)
	}
	for i := range n {
		seeds = append(seeds, old{seed: *first + uint64(i)})
	}
	for _, s := range seeds {
		t.Run(fmt.Sprintf("seed=%d", s.seed), func(t *testing.T) {
			t.Parallel()
			once(t, s.seed, s.made)
		})
	}
}
