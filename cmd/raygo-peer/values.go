package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// sizeValue is a flag of bytes: 512MiB, 2GB, 1073741824.
type sizeValue struct {
	bytes *int64
	auto  string // what 0 means, shown as the default
}

func (v sizeValue) Type() string { return "size" }

func (v sizeValue) String() string {
	if v.bytes == nil || *v.bytes == 0 {
		return v.auto
	}
	return strings.ReplaceAll(humanize.IBytes(uint64(*v.bytes)), " ", "")
}

func (v sizeValue) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a size; write 512MiB, 2GB or a number of bytes", s)
	}
	if n == 0 {
		return fmt.Errorf("a size of 0 leaves no room at all")
	}
	*v.bytes = int64(n)
	return nil
}

// countValue is a flag that is a number or a word for "as many as there are".
type countValue struct {
	n     *float64
	whole bool
	auto  string
}

func (v countValue) Type() string { return "number" }

func (v countValue) String() string {
	if v.n == nil || *v.n < 0 {
		return v.auto
	}
	return strconv.FormatFloat(*v.n, 'f', -1, 64)
}

func (v countValue) Set(s string) error {
	if s == v.auto {
		*v.n = -1
		return nil
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsNaN(n) || math.IsInf(n, 0):
		return fmt.Errorf("%q is not a number, nor %q", s, v.auto)
	case n < 0:
		return fmt.Errorf("%s is negative", s)
	case v.whole && n != math.Trunc(n):
		return fmt.Errorf("%s is not a whole number", s)
	}
	*v.n = n
	return nil
}

// shareValue is a flag that is a share: 0.95, or 95%.
type shareValue struct {
	share *float64
	max   float64
}

func (v shareValue) Type() string { return "share" }

func (v shareValue) String() string {
	if v.share == nil {
		return ""
	}
	return strconv.FormatFloat(*v.share, 'f', -1, 64)
}

func (v shareValue) Set(s string) error {
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if percent {
		n /= 100
	}
	if err != nil || math.IsNaN(n) || n <= 0 || n > v.max {
		return fmt.Errorf("%q is not a share; write 0.95 or 95%%", s)
	}
	*v.share = n
	return nil
}

// resourcesValue is a flag of custom resources: disk=2,licence=1.
type resourcesValue map[string]float64

func (v resourcesValue) Type() string { return "k=v,..." }

func (v resourcesValue) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(v)) {
		parts = append(parts, k+"="+strconv.FormatFloat(v[k], 'f', -1, 64))
	}
	return strings.Join(parts, ",")
}

func (v resourcesValue) Set(s string) error {
	return eachPair(s, func(key, value string) error {
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil || math.IsNaN(n) || math.IsInf(n, 0):
			return fmt.Errorf("the quantity of %q is %q, not a number", key, value)
		case n < 0:
			return fmt.Errorf("the quantity of %q is negative", key)
		case key == "CPU" || key == "GPU" || key == "memory":
			return fmt.Errorf("%s is not a custom resource; it has a flag of its own (--num-cpus, --num-gpus, --memory)", key)
		}
		v[key] = n
		return nil
	})
}

// labelsValue is a flag of labels: zone=eu,disk=ssd.
type labelsValue map[string]string

func (v labelsValue) Type() string { return "k=v,..." }

func (v labelsValue) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(v)) {
		parts = append(parts, k+"="+v[k])
	}
	return strings.Join(parts, ",")
}

func (v labelsValue) Set(s string) error {
	return eachPair(s, func(key, value string) error {
		v[key] = value
		return nil
	})
}

// eachPair calls fn for each k=v of a comma-separated list.
func eachPair(s string, fn func(key, value string) error) error {
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return fmt.Errorf("%q is not of the form key=value", part)
		}
		if err := fn(key, strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	return nil
}

// oneOf is a flag with a fixed set of values.
type oneOf struct {
	value   *string
	allowed []string
}

func (v oneOf) Type() string { return strings.Join(v.allowed, "|") }

func (v oneOf) String() string {
	if v.value == nil {
		return ""
	}
	return *v.value
}

func (v oneOf) Set(s string) error {
	if !slices.Contains(v.allowed, s) {
		return fmt.Errorf("%q is not one of %s", s, strings.Join(v.allowed, ", "))
	}
	*v.value = s
	return nil
}
