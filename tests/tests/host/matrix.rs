//! The tenant matrix: what belongs to one tenant, tried by another in every way through every surface. Each cell is tried, or says
//! why there is nothing to try; what comes back must be what somebody gets who asks for what never was.

mod exhaust;
mod rows;
mod town;
mod tries;

use std::collections::BTreeMap;

use rows::{ROWS, Row};
use town::Town;

/// What another tenant may want of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Read,
    Write,
    List,
    /// To learn from an answer whether it is there: answers for what is another's and for what never was are compared byte for byte.
    Infer,
    /// To use it up, so that its owner has none.
    Exhaust,
}

/// The way it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Surface {
    Http,
    /// Imports of the operator's plugin that serves it.
    Plugin,
    /// Imports of a router of its own.
    OwnRouter,
    /// The command line.
    Cli,
    /// Streams of server-sent events.
    Tail,
}

const COLUMNS: [Column; 5] = [Column::Read, Column::Write, Column::List, Column::Infer, Column::Exhaust];
const SURFACES: [Surface; 5] = [Surface::Http, Surface::Plugin, Surface::OwnRouter, Surface::Cli, Surface::Tail];

/// What was found in one cell.
enum Cell {
    /// So many tries, and what leaked in them.
    Tried(usize, Vec<String>),
    /// Why there is nothing to try.
    NoSurface(&'static str),
}

/// The way in which one cell is tried.
async fn cell(town: &Town, row: &Row, column: Column, surface: Surface) -> Cell {
    if column == Column::Exhaust {
        return match surface {
            Surface::Http => exhaust::tried(town, row).await,
            _ => Cell::NoSurface("what is used up is counted in one place, whatever the way: see HTTP"),
        };
    }
    let wishes = row.wishes(column, surface);
    if wishes.is_empty() {
        return Cell::NoSurface(row.no_surface(column, surface));
    }
    let mut leaks = Vec::new();
    for wish in &wishes {
        leaks.extend(town.try_one(wish, column, surface).await.into_iter().map(|why| format!("{wish:?}: {why}")));
    }
    Cell::Tried(wishes.len(), leaks)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_one_tenant_is_another_tenants_in_any_way() {
    let town = Town::start().await;
    let (mut tried, mut tries, mut leaks) = (0, 0, Vec::new());
    let mut without: BTreeMap<&str, usize> = BTreeMap::new();
    for row in ROWS {
        for column in COLUMNS {
            for surface in SURFACES {
                match cell(&town, row, column, surface).await {
                    Cell::Tried(count, found) => {
                        (tried, tries) = (tried + 1, tries + count);
                        let place = format!("{} / {column:?} / {surface:?}", row.name);
                        leaks.extend(found.into_iter().map(|why| format!("{place}: {why}")));
                    }
                    Cell::NoSurface(why) => {
                        assert!(!why.is_empty(), "{} / {column:?} / {surface:?} does not say why", row.name);
                        *without.entry(why).or_default() += 1;
                    }
                }
            }
        }
    }
    let cells = ROWS.len() * COLUMNS.len() * SURFACES.len();
    println!("{cells} cells: {tried} tried with {tries} tries, {} without a surface, {} leaks", cells - tried, leaks.len());
    for (why, count) in without {
        println!("  {count:>3} {why}");
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    assert!(ROWS.len() >= 20 && tried >= 100, "{tried} cells were tried");
    town.end().await;
}
