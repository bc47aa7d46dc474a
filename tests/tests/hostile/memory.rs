//! How much memory the process took, by the kernel's account.

use std::fs;

/// By so much may the process grow while a guest misbehaves: the guest's own memory (`limits.memory`, 64 MiB), what the host
/// copies for its calls in flight, and the neighbour beside it.
pub const MAX_GROWTH_BYTES: u64 = 256 << 20;

/// What the process took since this was made.
pub struct Growth {
    before: u64,
}

impl Growth {
    pub fn begin() -> Self {
        // 5 sets the largest resident size so far back to the present one.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        Self {
            before: most_resident_bytes(),
        }
    }

    /// The largest resident size since, above that of the beginning.
    pub fn bytes(&self) -> u64 {
        most_resident_bytes().saturating_sub(self.before)
    }

    pub fn is_bounded(&self) {
        let bytes = self.bytes();
        assert!(bytes <= MAX_GROWTH_BYTES, "the host grew by {bytes} bytes");
    }
}

fn most_resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = kib.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn memory_that_was_taken_and_given_back_is_seen() {
    let _alone = crate::alone().await;
    let growth = Growth::begin();
    drop(std::hint::black_box(vec![1_u8; 64 << 20]));
    assert!(growth.bytes() >= 60 << 20, "{} bytes", growth.bytes());
}
