//! The waveform that phones draw beside a voice note: 64 bars from 0 to 100.

/// Bars of a waveform.
pub(crate) const BARS: usize = 64;
/// Bars that may stand out.
const OUTSTANDING: usize = 3;
/// The highest bar.
const HIGHEST: u64 = 100;

/// The waveform of 16-bit samples, little-endian: the loudest of each stretch, against the loudest of all.
pub(crate) fn of_samples(data: &[u8]) -> Option<Vec<u8>> {
    let loudness = |pair: &[u8]| pair.try_into().map_or(0, |pair| u64::from(i16::from_le_bytes(pair).unsigned_abs()));
    let samples = data.len() / 2;
    if samples == 0 {
        return None;
    }
    let mut bars = [0_u64; BARS];
    for (n, pair) in data.chunks_exact(2).enumerate() {
        if let Some(bar) = bars.get_mut(n * BARS / samples) {
            *bar = (*bar).max(loudness(pair));
        }
    }
    // Shorter than its own waveform: each bar shows the sample that it stands in.
    if samples < BARS {
        bars = std::array::from_fn(|bar| data.chunks_exact(2).nth(bar * samples / BARS).map_or(0, loudness));
    }
    let loudest = bars.iter().copied().max().filter(|loudest| *loudest > 0).unwrap_or(1);
    Some(bars.iter().map(|bar| scaled(*bar, loudest)).collect())
}

/// An approximation without a decoder: a coder that spends bits as it needs them makes larger packets of speech than of
/// silence. The smallest mean size of a stretch is drawn as 0 and the largest as 100, but for a few that stand out: the first
/// and the last packets of a recording do, whatever is heard.
pub(crate) fn of_packets(sizes: &[u32]) -> Option<Vec<u8>> {
    if sizes.is_empty() {
        return None;
    }
    let mean = |bar: usize| {
        let (from, to) = (bar * sizes.len() / BARS, (bar + 1) * sizes.len() / BARS);
        let stretch = sizes.get(from..to.max(from + 1)).unwrap_or_default();
        let sum: u64 = stretch.iter().map(|size| u64::from(*size)).sum();
        sum / stretch.len().max(1) as u64
    };
    let bars: [u64; BARS] = std::array::from_fn(mean);
    let least = bars.iter().copied().min().unwrap_or_default();
    let mut sorted = bars;
    sorted.sort_unstable();
    let high = sorted.iter().rev().nth(OUTSTANDING).copied().unwrap_or_default();
    let span = high.saturating_sub(least).max(1);
    Some(bars.iter().map(|bar| scaled((bar - least).min(span), span)).collect())
}

fn scaled(value: u64, most: u64) -> u8 {
    u8::try_from(value * HIGHEST / most).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(samples: &[i16]) -> Vec<u8> {
        samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }

    #[test]
    fn what_is_loud_is_high() {
        let mut samples = vec![0; 3200];
        samples.extend(vec![-16_000; 3200]);
        let bars = of_samples(&bytes(&samples)).unwrap();
        assert_eq!((bars.len(), &bars[..32], &bars[32..]), (64, &[0; 32][..], &[100; 32][..]));
        assert_eq!(of_samples(&bytes(&[0; 500])).unwrap(), [0; 64]);
        assert_eq!(of_samples(&bytes(&[i16::MIN, 0])).unwrap()[..33], [[100; 32].as_slice(), &[0]].concat());
        assert_eq!(of_samples(b"x"), None);
    }

    #[test]
    fn large_packets_are_high() {
        let sizes: Vec<u32> = (0..640).map(|n| if n < 320 { 20 } else { 120 }).collect();
        let bars = of_packets(&sizes).unwrap();
        assert_eq!((bars.len(), bars[0], bars[63]), (64, 0, 100));
        assert_eq!(of_packets(&[7; 10]).unwrap(), [0; 64]);
        assert_eq!(of_packets(&[]), None);
    }
}
