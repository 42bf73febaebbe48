// SPDX-License-Identifier: Apache-2.0
//! The ring under the C11 memory model: see docs/design/proof.md.

pub mod orders;
pub mod ring;
pub mod shared;
