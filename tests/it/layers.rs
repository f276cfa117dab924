//! The merged view and the plan on layers made by hand.
