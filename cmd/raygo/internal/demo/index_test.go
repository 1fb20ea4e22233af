package demo

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGoIdentifiersAreThoseOfTheCode(t *testing.T) {
	text := []byte("package p // err in a comment\nvar err, x = f(\"err\"), `err`\nfunc ünder_1() { err = x.err }\n")
	ix := indexText(text, []int{len(text)}, true)
	want := map[string]int64{"p": 1, "err": 3, "x": 2, "f": 1, "ünder_1": 1}
	if d := cmp.Diff(want, asMap(t, &ix)); d != "" {
		t.Error(d)
	}
	if ix.Totals.Lines != 3 || ix.Totals.Files != 1 || ix.Totals.Occurrences != 8 {
		t.Errorf("totals are %+v", ix.Totals)
	}
}

func TestMergingIsAddingUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var parts []*Index
	want, files := map[string]int64{}, int64(0)
	for range 13 {
		var b strings.Builder
		for range 200 {
			w := fmt.Sprintf("w%d", r.IntN(90))
			want[w]++
			b.WriteString(w + "\n")
		}
		ix := indexText([]byte(b.String()), []int{b.Len()}, false)
		ix.Where = map[string]int{"a": 1}
		files++
		parts = append(parts, &ix)
	}
	all, err := mergeAll(parts)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, asMap(t, all)); d != "" {
		t.Error(d)
	}
	if all.Totals.Files != files || all.Totals.Occurrences != 13*200 || all.Where["a"] != 13 {
		t.Errorf("totals are %+v, made by %v", all.Totals, all.Where)
	}
	best, distinct, err := mostFrequent(all, 5)
	if err != nil || distinct != int64(len(want)) {
		t.Fatalf("%d distinct words, want %d: %v", distinct, len(want), err)
	}
	words := slices.SortedFunc(maps.Keys(want), func(a, b string) int {
		if want[a] != want[b] {
			return int(want[b] - want[a])
		}
		return strings.Compare(a, b)
	})
	for i, e := range best {
		if e.Word != words[i] || e.Count != want[words[i]] {
			t.Errorf("place %d is %v, want %s %d", i, e, words[i], want[words[i]])
		}
	}
}

func TestCountWordIsGrepsCount(t *testing.T) {
	text := "err errs _err err_ (err)err.err\nerr"
	for _, word := range []string{"err", "errs", "e", "err_"} {
		want := len(regexp.MustCompile(`\b`+word+`\b`).FindAllString(text, -1))
		if got := countWord([]byte(text), []byte(word)); got != int64(want) {
			t.Errorf("%s: %d, want %d", word, got, want)
		}
	}
}

func TestADamagedIndexIsAnError(t *testing.T) {
	if _, err := mergeAll([]*Index{{Words: []byte("a\nb\n"), Counts: []byte{1}}, {}}); err == nil {
		t.Error("an index with fewer counts than words was merged")
	}
}

func TestSource(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := findSource(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "raygo demo FOLDER") {
		t.Errorf("an empty folder: %v", err)
	}
	write("a.txt", "one two")
	write("b.bin", "\x00\x01")
	if s, err := findSource(t.Context(), dir); err != nil || s.golang || len(s.files) != 1 {
		t.Errorf("a folder with one text file: %+v, %v", s, err)
	}
	write("sub/c.go", "package c\n")
	s, err := findSource(t.Context(), dir)
	if err != nil || !s.golang || len(s.files) != 1 || s.bytes != 10 {
		t.Errorf("a folder with one Go file: %+v, %v", s, err)
	}
	t.Setenv("GOROOT", dir)
	if _, err := findSource(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "$GOROOT is "+dir) {
		t.Errorf("a bad GOROOT: %v", err)
	}
}

func asMap(t *testing.T, ix *Index) map[string]int64 {
	t.Helper()
	m := map[string]int64{}
	r := reader{ix.Words, ix.Counts}
	for {
		e, ok, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return m
		}
		m[string(e.word)] = e.count
	}
}
