//! Private studies: the noise has the distribution that it should, costs no more ρ than it claims, and does not stop
//! being noise when it goes through the whole path.

mod audit;
mod bugs;
mod documentation;
mod exact;
mod guarantee;
mod intervals;
mod mechanism;
mod neighbours;
mod refusals;
mod sampler;
