package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/raygo/raygo/cmd/internal/show"
)

// Report is what a run measured.
type Report struct {
	Time   time.Time `json:"time"`
	Go     string    `json:"go"`
	CPUs   int       `json:"cpus"`
	Kernel string    `json:"kernel"`
	Quick  bool      `json:"quick,omitempty"`
	Rows   []Row     `json:"rows"`
}

// Row is one workload's result.
type Row struct {
	Name           string   `json:"name"`
	What           string   `json:"what"`
	Unit           string   `json:"unit"`
	HigherIsBetter bool     `json:"higher_is_better"`
	Value          *Figures `json:"value"`
	Floor          string   `json:"floor,omitempty"`
	FloorValue     *Figures `json:"floor_value,omitempty"`
	Ratio          *Figures `json:"ratio,omitempty"`
	// CPU is what driver, peer and workers used together, in µs an operation.
	CPU    *Figures `json:"cpu_us,omitempty"`
	Target string   `json:"target,omitempty"`
	OK     bool     `json:"ok"`
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) {
	show.Rows(w, r.Rows, []show.Column[Row]{
		{Head: "workload", Cell: func(r Row) string { return r.Name }},
		{Head: "median", Cell: func(r Row) string { return figure(r.Value.Median) }},
		{Head: "p10–p90", Cell: func(r Row) string { return span(r.Value) }},
		{Head: "unit", Cell: func(r Row) string { return r.Unit }},
		{Head: "floor", Cell: func(r Row) string { return median(r.FloorValue) }},
		{Head: "of", Cell: func(r Row) string { return r.Floor }},
		{Head: "ratio", Cell: func(r Row) string { return r.ratio() }},
		{Head: "cpu µs", Cell: func(r Row) string { return median(r.CPU) }},
		{Head: "target", Cell: func(r Row) string { return r.Target }},
		{Head: "", Cell: func(r Row) string { return r.verdict() }},
	}, false)
	below := 0
	for i := range r.Rows {
		if !r.Rows[i].OK {
			below++
		}
	}
	fmt.Fprintf(w, "\n%d workloads, %d below target; %d CPUs, %s, %s. Ratios are medians over pairs taken in turns.\n", len(r.Rows), below, r.CPUs, r.Go, r.Kernel)
}

// line is a row while the measurement goes on.
func (r *Row) line() string {
	s := fmt.Sprintf("%-32s %s %s", r.Name, figure(r.Value.Median), r.Unit)
	if x := r.ratio(); x != "" {
		s += "  " + x
	}
	if r.CPU != nil {
		s += "  " + median(r.CPU) + " µs of CPU each"
	}
	if v := r.verdict(); v != "" {
		s += "  " + v + " (" + r.Target + ")"
	}
	return s
}

func (r *Row) ratio() string {
	if r.Ratio == nil {
		return ""
	}
	return fmt.Sprintf("%.3g×", r.Ratio.Median)
}

func (r *Row) verdict() string {
	switch {
	case r.Target == "":
		return ""
	case r.OK:
		return "ok"
	}
	return "below"
}

func median(f *Figures) string {
	if f == nil {
		return ""
	}
	return figure(f.Median)
}

func span(f *Figures) string { return figure(f.P10) + "–" + figure(f.P90) }

// figure is a number with three digits that matter.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		return humanize.Comma(int64(math.Round(v)))
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// kernel names the system's kernel.
func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}
