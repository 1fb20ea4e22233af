package demo

import (
	"fmt"
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows how far the work is: bars on a terminal, now and then a line
// elsewhere.
type progress struct {
	w    io.Writer
	bars *mpb.Progress // nil: lines
	open []*mpb.Bar
}

func newProgress(w io.Writer, bars bool) *progress {
	p := &progress{w: w}
	if bars {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(48))
	}
	return p
}

// step is one part of the work, of a known number of pieces.
type step struct {
	p     *progress
	name  string
	total int
	n     int
	bar   *mpb.Bar
}

func (p *progress) begin(name string, total int) *step {
	s := &step{p: p, name: name, total: total}
	if p.bars != nil && total > 0 {
		s.bar = p.bars.AddBar(int64(total),
			mpb.PrependDecorators(decor.Name(name, decor.WC{C: decor.DindentRight | decor.DextraSpace, W: 20}), decor.CountersNoUnit("%d / %d", decor.WCSyncWidth)),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Elapsed(decor.ET_STYLE_GO, decor.WC{W: 8})),
		)
		p.open = append(p.open, s.bar)
	}
	return s
}

// done counts one piece.
func (s *step) done() {
	s.n++
	if s.bar != nil {
		s.bar.Increment()
		return
	}
	// About ten lines a step.
	if every := max(1, s.total/10); s.n == s.total || s.n%every == 0 && s.total-s.n >= every {
		fmt.Fprintf(s.p.w, "%s: %d/%d\n", s.name, s.n, s.total)
	}
}

// stop lets the bars print their last state.
func (p *progress) stop() {
	if p.bars == nil {
		return
	}
	for _, b := range p.open {
		if !b.Completed() {
			b.Abort(false)
		}
	}
	p.bars.Wait()
}
