// Command mapreduce owns a word count of real text: files are put once as
// objects, tasks count their words, tasks merge the counts in a tree.
//
//	go run ./sdk/examples/mapreduce            # Go's own documentation
//	go run ./sdk/examples/mapreduce FOLDER     # text files of yours
package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// Map counts the words of one object; Reduce adds counts up.
var (
	Map    = raygo.Func1(count)
	Reduce = raygo.Func1(merge)
)

// Counts is how often each word occurs.
type Counts map[string]int

// count gets the text as a view of shared memory: nothing is copied.
func count(_ context.Context, text []byte) (Counts, error) {
	counts := Counts{}
	for word := range bytes.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) }) {
		counts[strings.ToLower(string(word))]++
	}
	return counts, nil
}

func merge(_ context.Context, parts []Counts) (Counts, error) {
	sum := Counts{}
	for _, part := range parts {
		for word, n := range part {
			sum[word] += n
		}
	}
	return sum, nil
}

func main() { raygo.Main(run, p2p.Embedded(p2p.Config{})) }

func run(ctx context.Context) error {
	dir := ""
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	chunks, err := read(ctx, dir)
	if err != nil {
		return err
	}

	// Map: a chunk becomes an object, the object a task's argument. Tasks start
	// while the rest is still being put.
	var parts []raygo.Ref[Counts]
	size := 0
	for _, chunk := range chunks {
		text, err := raygo.Put(ctx, chunk)
		if err != nil {
			return err
		}
		parts = append(parts, Map.RemoteArgs(ctx, text))
		raygo.Release(text) // the task keeps it for as long as it needs it
		size += len(chunk)
	}
	mapped := len(parts)

	// Reduce: a tree of merges, submitted at once. Each starts when its parts
	// are there, and no partial result passes through this process.
	const fan = 8
	for len(parts) > 1 {
		var next []raygo.Ref[Counts]
		for group := range slices.Chunk(parts, fan) {
			next = append(next, Reduce.RemoteArgs(ctx, raygo.All(group)))
		}
		for _, p := range parts {
			raygo.Release(p)
		}
		parts = next
	}
	counts, err := raygo.Get(ctx, parts[0])
	if err != nil {
		return err
	}
	report(counts, size, mapped)
	return nil
}

// chunkSize is about how much text one task counts: some milliseconds of work,
// which is much more than a task costs, and enough tasks for every core.
const chunkSize = 256 << 10

// read cuts the text files under dir, or those in Go's own source tree, into
// chunks of whole files.
func read(ctx context.Context, dir string) ([][]byte, error) {
	wanted := func(path string) bool {
		return slices.Contains([]string{".txt", ".md", ".html", ""}, filepath.Ext(path))
	}
	if dir == "" {
		out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return nil, fmt.Errorf("find Go's documentation: %w; name a folder instead", err)
		}
		dir = filepath.Join(strings.TrimSpace(string(out)), "src")
		wanted = func(path string) bool {
			return filepath.Base(path) == "doc.go" || filepath.Ext(path) == ".md" || filepath.Ext(path) == ".txt"
		}
	}
	var chunks [][]byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !wanted(path) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		if last := len(chunks) - 1; last >= 0 && len(chunks[last])+len(text) < chunkSize {
			chunks[last] = append(append(chunks[last], text...), '\n')
		} else {
			chunks = append(chunks, append(text, '\n'))
		}
		return nil
	})
	if err == nil && len(chunks) == 0 {
		err = fmt.Errorf("there is no text under %s", dir)
	}
	return chunks, err
}

func report(counts Counts, size, tasks int) {
	total := 0
	words := make([]string, 0, len(counts))
	for word, n := range counts {
		total += n
		words = append(words, word)
	}
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	fmt.Printf("%d words, %d different, in %d bytes, by %d map tasks\n", total, len(counts), size, tasks)
	for _, word := range words[:min(10, len(words))] {
		fmt.Printf("%7d %s\n", counts[word], word)
	}
}
