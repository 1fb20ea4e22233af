package demo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"go/scanner"
	"go/token"
	"maps"
	"slices"
)

// Index is how often each identifier occurs in some files. Words and numbers
// are kept as bytes, so that an index of a million words decodes at once.
type Index struct {
	Words  []byte // sorted, each followed by a newline
	Counts []byte // of each word, as uvarints
	Totals Totals
	Where  map[string]int // tasks that made it, by worker
}

// Totals are what can be added up.
type Totals struct {
	Files       int64 `json:"files"`
	Lines       int64 `json:"lines"`
	Bytes       int64 `json:"bytes"`
	Occurrences int64 `json:"occurrences"`
	Moved       int64 `json:"index_bytes"` // bytes of all partial indexes
}

func (t *Totals) add(u Totals) {
	t.Files += u.Files
	t.Lines += u.Lines
	t.Bytes += u.Bytes
	t.Occurrences += u.Occurrences
	t.Moved += u.Moved
}

// entry is one word of an index.
type entry struct {
	word  []byte
	count int64
}

// indexText counts the identifiers of the files that lie behind each other in
// text.
func indexText(text []byte, ends []int, golang bool) Index {
	counts := map[string]*int64{}
	totals := Totals{Files: int64(len(ends)), Lines: int64(bytes.Count(text, []byte{'\n'})), Bytes: int64(len(text))}
	add := func(word []byte) {
		n := counts[string(word)]
		if n == nil {
			n = new(int64)
			counts[string(word)] = n
		}
		*n++
		totals.Occurrences++
	}
	start := 0
	for _, end := range ends {
		if golang {
			goIdentifiers(text[start:end], add)
		} else {
			words(text[start:end], add)
		}
		start = end
	}
	ix := Index{Totals: totals, Where: map[string]int{}}
	for _, w := range slices.Sorted(maps.Keys(counts)) {
		ix.append(entry{[]byte(w), *counts[w]})
	}
	ix.Totals.Moved = int64(len(ix.Words) + len(ix.Counts))
	return ix
}

// goIdentifiers finds what Go's scanner takes for an identifier; words in
// comments and strings are none.
func goIdentifiers(text []byte, add func([]byte)) {
	file := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, func(token.Position, string) {}, 0)
	for {
		pos, tok, lit := s.Scan()
		switch tok {
		case token.EOF:
			return
		case token.IDENT:
			at := file.Offset(pos)
			add(text[at : at+len(lit)])
		}
	}
}

// words finds runs of letters, digits and underscores that begin with no digit.
func words(text []byte, add func([]byte)) {
	for i := 0; i < len(text); {
		if !isWordByte(text[i]) {
			i++
			continue
		}
		start := i
		for i < len(text) && isWordByte(text[i]) {
			i++
		}
		if c := text[start]; c < '0' || c > '9' {
			add(text[start:i])
		}
	}
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// countWord counts word where no letter, digit or underscore is beside it, as
// grep -ow does.
func countWord(text, word []byte) int64 {
	n := int64(0)
	for at := 0; ; {
		i := bytes.Index(text[at:], word)
		if i < 0 {
			return n
		}
		start, end := at+i, at+i+len(word)
		if (start == 0 || !isWordByte(text[start-1])) && (end == len(text) || !isWordByte(text[end])) {
			n++
			at = end
		} else {
			at = start + 1
		}
	}
}

func (ix *Index) append(e entry) {
	ix.Words = append(append(ix.Words, e.word...), '\n')
	ix.Counts = binary.AppendUvarint(ix.Counts, uint64(e.count))
}

// reader reads an index front to back.
type reader struct{ words, counts []byte }

// next is the next entry; ok is false at the end.
func (r *reader) next() (e entry, ok bool, err error) {
	if len(r.words) == 0 {
		return e, false, nil
	}
	end := bytes.IndexByte(r.words, '\n')
	count, n := binary.Uvarint(r.counts)
	if end < 0 || n <= 0 {
		return e, false, fmt.Errorf("damaged index: %d bytes of words and %d of counts are left over", len(r.words), len(r.counts))
	}
	e = entry{r.words[:end], int64(count)}
	r.words, r.counts = r.words[end+1:], r.counts[n:]
	return e, true, nil
}

// merge2 adds two indexes up in one pass over both.
func merge2(a, b *Index) (*Index, error) {
	out := &Index{
		Words:  make([]byte, 0, len(a.Words)+len(b.Words)),
		Counts: make([]byte, 0, len(a.Counts)+len(b.Counts)),
		Totals: a.Totals, Where: map[string]int{},
	}
	out.Totals.add(b.Totals)
	for _, w := range []map[string]int{a.Where, b.Where} {
		for k, n := range w {
			out.Where[k] += n
		}
	}
	ra, rb := reader{a.Words, a.Counts}, reader{b.Words, b.Counts}
	ea, oka, err := ra.next()
	if err != nil {
		return nil, err
	}
	eb, okb, err := rb.next()
	for err == nil && (oka || okb) {
		order := 0
		switch {
		case !okb:
			order = -1
		case !oka:
			order = 1
		default:
			order = bytes.Compare(ea.word, eb.word)
		}
		switch {
		case order < 0:
			out.append(ea)
			ea, oka, err = ra.next()
		case order > 0:
			out.append(eb)
			eb, okb, err = rb.next()
		default:
			ea.count += eb.count
			out.append(ea)
			if ea, oka, err = ra.next(); err == nil {
				eb, okb, err = rb.next()
			}
		}
	}
	return out, err
}

// mergeAll adds indexes up in pairs, so that each word is copied only as often
// as there are rounds.
func mergeAll(parts []*Index) (*Index, error) {
	if len(parts) == 0 {
		return &Index{Where: map[string]int{}}, nil
	}
	for len(parts) > 1 {
		var next []*Index
		for i := 0; i < len(parts); i += 2 {
			if i+1 == len(parts) {
				next = append(next, parts[i])
				break
			}
			m, err := merge2(parts[i], parts[i+1])
			if err != nil {
				return nil, err
			}
			next = append(next, m)
		}
		parts = next
	}
	return parts[0], nil
}
