//! Tests of the program as a user runs it: a child process over small trees that the testkit builds.

mod demo;
mod diff;
mod documents;
mod exports;
mod hostile;
mod layouts;
mod macho;
mod output;
mod questions;
mod readme;
mod second_opinion;
mod servers;
mod spellings;
mod staging;
mod support;
