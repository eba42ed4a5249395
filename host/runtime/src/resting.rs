//! Memory of code that nobody calls: given back to the system, which reads it from its file again when somebody does.

use std::ops::Range;

use rustix::mm::{Advice, madvise};

use crate::shelf::LinkedComponent;

impl LinkedComponent {
    /// Gives the memory of the code back, for a component that nobody is likely to call soon: the next call reads what it needs from
    /// the file again. Code that lies in no file stays, and so does all of it where the system knows no such advice.
    pub fn rest(&self) {
        give_back(&self.pre.component().image_range());
    }
}

#[expect(unsafe_code, reason = "the advice takes pages out of memory, and changes nothing that can be read there")]
fn give_back(image: &Range<*const u8>) {
    let bytes = image.end as usize - image.start as usize;
    // SAFETY: the range is that of a mapping which the component keeps, and nothing is read or written through it here.
    let advised = unsafe { madvise(image.start.cast_mut().cast(), bytes, Advice::LinuxPageOut) };
    if let Err(error) = advised {
        tracing::debug!(%error, "the memory of a component is not given back");
    }
}
