//! One GraphQL request, whatever it is: what it may cost, how long it may take, how its document may
//! be named.

mod bench;
mod compression;
mod deadline;
mod fuzz;
mod hostile;
mod persisted;
