package bench

import (
	"math"
	"slices"
)

// Figures are samples of one quantity, and what they say.
type Figures struct {
	Median  float64   `json:"median"`
	P10     float64   `json:"p10"`
	P90     float64   `json:"p90"`
	Samples []float64 `json:"samples"`
}

func figuresOf(samples []float64) *Figures {
	if len(samples) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(samples))
	return &Figures{Median: quantile(s, 0.5), P10: quantile(s, 0.1), P90: quantile(s, 0.9), Samples: samples}
}

// quantile interpolates in sorted samples.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(at-float64(low))
}

// ratios divides samples by the floors that were taken just before them.
func ratios(samples, floors []float64) []float64 {
	var r []float64
	for i := range min(len(samples), len(floors)) {
		if floors[i] > 0 {
			r = append(r, samples[i]/floors[i])
		}
	}
	return r
}
