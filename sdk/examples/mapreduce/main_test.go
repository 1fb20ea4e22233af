package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raygo/raygo/sdk/examples/internal/started"
)

// wantOf counts again, in the simplest way.
func wantOf(text string) (words, different int) {
	seen := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return (r < 'a' || r > 'z') && r < 0x80 }) {
		words++
		seen[w] = true
	}
	return words, len(seen)
}

func TestMapReduceOfAFolder(t *testing.T) {
	dir := t.TempDir()
	line := "The quick brown fox jumps over the lazy dog; the dog sleeps.\n"
	text := strings.Repeat(line, 30_000)
	for i := range 3 { // several chunks, of which each is a task
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("part%d.txt", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	words, different := wantOf(text)
	size := 3 * (len(text) + 1)
	started.Want(t, started.Output(t, dir),
		fmt.Sprintf("%d words, %d different, in %d bytes, by 3 map tasks", 3*words, different, size),
		fmt.Sprintf("%7d the", 3*3*30_000),
		fmt.Sprintf("%7d dog", 2*3*30_000),
	)
}

func TestMapReduceOfGosDocumentation(t *testing.T) {
	out := started.Output(t)
	if !strings.Contains(out, " the\n") || !strings.Contains(out, " map tasks\n") {
		t.Errorf("the word 'the' is not among the most frequent:\n%s", out)
	}
}
