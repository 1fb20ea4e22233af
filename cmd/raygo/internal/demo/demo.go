// Package demo owns the work that raygo demo shows: an index of the identifiers
// of a source tree, made as a map-reduce of tasks.
//
// Files are read in batches and put as objects; a task per batch counts its
// identifiers; tasks merge the counts in a tree; a generator streams the most
// frequent ones.
package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

// Options say what the demo works on and how it shows its progress.
type Options struct {
	Folder string    // "" for Go's own source
	Top    int       // identifiers shown
	Notes  io.Writer // progress goes here
	Bars   bool      // Notes is a terminal
}

// Result is what the demo found.
type Result struct {
	Folder   string         `json:"folder"`
	Golang   bool           `json:"go"`
	Totals   Totals         `json:"totals"`
	Distinct int64          `json:"identifiers"`
	Top      []Entry        `json:"top"`
	Word     Entry          `json:"check"` // how often the top word is anywhere in the text
	Where    map[string]int `json:"where"`
	Tasks    int            `json:"tasks"`
	Objects  int            `json:"objects_put"`
	Put      int64          `json:"bytes_put"`
	Seconds  float64        `json:"seconds"`
	Job      string         `json:"job_id"`
	Peer     string         `json:"peer_id"` // the driver's
	Peers    []Share        `json:"peers"`
}

// Share is what one peer did.
type Share struct {
	Peer    string    `json:"peer_id"`
	Driver  bool      `json:"driver"` // the driver is attached to it
	Bridge  bool      `json:"bridge"` // it offers nothing and ends with the command
	Tasks   int       `json:"tasks"`
	PIDs    []int     `json:"worker_pids"`
	Fetched []Fetched `json:"fetched"`
}

// Fetched is what a peer got from another, over the network.
type Fetched struct {
	From  string `json:"from"`
	Bytes int64  `json:"bytes"`
}

// SortPeers puts the peers in order, the driver's first.
func (r *Result) SortPeers() {
	slices.SortFunc(r.Peers, func(a, b Share) int {
		if a.Driver != b.Driver {
			if a.Driver {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Peer, b.Peer)
	})
	for i := range r.Peers {
		slices.SortFunc(r.Peers[i].Fetched, func(a, b Fetched) int { return cmp.Compare(b.Bytes, a.Bytes) })
	}
}

// mergeFan is how many indexes one task merges.
const mergeFan = 8

// Prepare finds the files to work on, before anything is started.
func Prepare(ctx context.Context, o Options) (*Job, error) {
	src, err := findSource(ctx, o.Folder)
	if err != nil {
		return nil, err
	}
	return &Job{o: o, src: src}, nil
}

// Job is the work, ready to be done.
type Job struct {
	o   Options
	src *source
}

// String says what is about to be done.
func (j *Job) String() string {
	kind := "Go"
	if !j.src.golang {
		kind = "text"
	}
	return fmt.Sprintf("%d %s files, %.1f MB, under %s", len(j.src.files), kind, float64(j.src.bytes)/1e6, j.src.dir)
}

// Run does the work in the session that ctx carries.
func (j *Job) Run(ctx context.Context) (*Result, error) {
	began := time.Now()
	p := newProgress(j.o.Notes, j.o.Bars)
	defer p.stop()
	batches := j.src.batches()
	texts, maps, err := j.load(ctx, batches, p)
	if err != nil {
		return nil, err
	}
	root, merges := mergeTree(ctx, maps)
	if err := watch(ctx, p, maps, merges); err != nil {
		return nil, err
	}
	res := &Result{
		Folder: j.src.dir, Golang: j.src.golang, Objects: len(texts), Put: j.src.bytes,
		Tasks: len(maps) + len(merges) + 1,
	}
	if err := j.stream(ctx, root, res); err != nil {
		return nil, err
	}
	if err := check(ctx, texts, res, p); err != nil {
		return nil, err
	}
	res.Seconds = time.Since(began).Seconds()
	return res, nil
}

// load puts the files and submits a map task for each batch as soon as it is
// there, so that workers begin while the rest is read.
func (j *Job) load(ctx context.Context, batches [][]file, p *progress) (texts []raygo.Ref[[]byte], maps []raygo.Ref[Index], err error) {
	step := p.begin("put", len(batches))
	for _, files := range batches {
		b, err := readBatch(files)
		if err != nil {
			return nil, nil, err
		}
		text, err := raygo.Put(ctx, b.text)
		if err != nil {
			return nil, nil, fmt.Errorf("put a batch of files: %w", err)
		}
		texts = append(texts, text)
		maps = append(maps, indexTask.RemoteArgs(ctx, text, raygo.Val(b.ends), raygo.Val(j.src.golang)))
		step.done()
	}
	return texts, maps, nil
}

// mergeTree submits the merge tasks, each of which waits for its parts.
func mergeTree(ctx context.Context, parts []raygo.Ref[Index]) (root raygo.Ref[Index], all []raygo.Ref[Index]) {
	for len(parts) > 1 {
		var next []raygo.Ref[Index]
		for i := 0; i < len(parts); i += mergeFan {
			next = append(next, mergeTask.RemoteArgs(ctx, raygo.All(parts[i:min(i+mergeFan, len(parts))])))
		}
		all = append(all, next...)
		parts = next
	}
	return parts[0], all
}

// watch shows tasks as they end. Partial indexes are released as soon as they
// are merged: the tree holds what it still needs.
func watch(ctx context.Context, p *progress, maps, merges []raygo.Ref[Index]) error {
	all := append(append([]raygo.Ref[Index]{}, maps...), merges...)
	step := p.begin("index and merge", len(all))
	for range raygo.AsCompleted(ctx, all) {
		step.done()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return nil
}

// stream reads the result from a generator.
func (j *Job) stream(ctx context.Context, root raygo.Ref[Index], res *Result) error {
	items := topTask.RemoteArgs(ctx, root, raygo.Val(j.o.Top))
	defer items.Close()
	for item, err := range items.Values(ctx) {
		if err != nil {
			return fmt.Errorf("stream the result: %w", err)
		}
		if r := item.Report; r != nil {
			res.Totals, res.Where, res.Distinct = r.Totals, r.Where, r.Distinct
			continue
		}
		res.Top = append(res.Top, item.Entry)
	}
	return nil
}

// check counts the most frequent word everywhere in the text, comments and all,
// which grep can do, too. The text is in shared memory already.
func check(ctx context.Context, texts []raygo.Ref[[]byte], res *Result, p *progress) error {
	if len(res.Top) == 0 {
		return nil
	}
	res.Word.Word = res.Top[0].Word
	counts := make([]raygo.Ref[int64], len(texts))
	for i, t := range texts {
		counts[i] = countTask.RemoteArgs(ctx, t, raygo.Val(res.Word.Word))
	}
	step := p.begin("count "+res.Word.Word, len(counts))
	for ref := range raygo.AsCompleted(ctx, counts) {
		n, err := raygo.Get(ctx, ref)
		if err != nil {
			return fmt.Errorf("count %s: %w", res.Word.Word, err)
		}
		res.Word.Count += n
		step.done()
	}
	res.Tasks += len(counts)
	return ctx.Err()
}
