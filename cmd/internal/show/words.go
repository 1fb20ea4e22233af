package show

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Bytes is a size as people read it.
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	return humanize.IBytes(uint64(n))
}

// Count is a number with thousands marked.
func Count[N int | int64](n N) string { return humanize.Comma(int64(n)) }

// Time is a moment in the reader's zone; "" for none.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}

// Took is how long something took; what has not ended is measured to now.
func Took(start, end time.Time) string {
	if start.IsZero() {
		return ""
	}
	if end.IsZero() {
		return Duration(time.Since(start)) + " so far"
	}
	return Duration(end.Sub(start))
}

// Duration is d with three digits that matter.
func Duration(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return d.Round(time.Minute).String()
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// Quantities are amounts of resources, as CPU=1, disk=2.
func Quantities(m map[string]float64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+Quantity(k, m[k]))
	}
	return strings.Join(parts, " ")
}

// Quantity is an amount of the named resource; memory is bytes.
func Quantity(name string, v float64) string {
	if name == "memory" {
		return strings.ReplaceAll(Bytes(int64(v)), " ", "")
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// Labels are labels, as zone=eu disk=ssd.
func Labels(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, " ")
}

// ID shortens a peer's ID that is shown among others.
func ID(s string) string {
	if len(s) > 16 && strings.HasPrefix(s, "12D3") {
		return s[:6] + "…" + s[len(s)-8:]
	}
	return s
}

// Int is n, "" for 0.
func Int(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// Cut is as much of a line as fits into so many columns.
func Cut(line string, width int) string { return text.Trim(line, width) }
